"""Tables from records. Reads records alone, and never imports torch."""
