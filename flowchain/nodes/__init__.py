"""What a chain is declared with: frozen, typed nodes that refer to one another. No I/O, no models."""
