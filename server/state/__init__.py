"""State stores and buses: the only door to databases."""
