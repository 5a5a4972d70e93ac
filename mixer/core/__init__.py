"""Pure parts of the mixer: packets, time and samples in; packets, decisions and samples out."""
