"""The tab Model: models, encoders, records, and saved strokes."""
