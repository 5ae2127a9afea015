"""What turns pooled features into scores."""
