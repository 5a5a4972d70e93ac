"""Control plane: decides who is in which room, and never touches an audio frame."""
