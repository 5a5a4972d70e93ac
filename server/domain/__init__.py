"""Pure rules of rooms and people."""
