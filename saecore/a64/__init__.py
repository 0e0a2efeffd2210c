"""A64: one table of encodings, their decoding into operations, and the operations. Floor 7."""
