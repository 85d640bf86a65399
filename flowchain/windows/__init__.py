"""Does it fit? Bounds proved before a run, texts split while it runs, every character accounted for after it."""
