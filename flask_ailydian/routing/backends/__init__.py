"""Who can answer: the local model, and third parties through their own SDKs."""
