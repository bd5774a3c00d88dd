//! What memory takes on a machine of 32 bits.
