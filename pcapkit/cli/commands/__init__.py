"""The commands, a module each: they translate between the command line and the library."""
