"""JSON-RPC 2.0: one codec, one dispatch table, several transports."""
