"""What the control plane does for its callers."""
