"""Commands that tune: studies, their dashboard, and the HPO service with its gRPC client."""
