"""Broadcast plane: a room's mix as an encrypted HLS stream."""
