"""What encoders learn from images alone, and how; published weights."""
