"""What the doctor and a deployment look at: each check is one question about the current app."""
