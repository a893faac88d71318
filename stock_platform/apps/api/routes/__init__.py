"""Routes, one module a group of addresses."""
