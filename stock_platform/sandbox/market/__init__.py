"""The offline market: real and generated histories, and their truth."""
