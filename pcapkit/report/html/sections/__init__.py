"""What a page shows, section by section."""
