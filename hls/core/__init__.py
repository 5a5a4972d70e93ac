"""Pure parts of the broadcast: frames with times in; segments and playlist text out."""
