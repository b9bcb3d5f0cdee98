"""What requests and answers look like, as marshmallow and OpenAPI see them."""
