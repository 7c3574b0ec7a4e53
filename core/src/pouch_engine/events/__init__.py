"""What happened and happens."""
