"""A room's audio: its anchors, its distinct mixes and their encoders."""
