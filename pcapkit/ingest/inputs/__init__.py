"""What the user names: files and pipes, compressed or not, recognised by content, in order."""
