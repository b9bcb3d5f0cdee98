"""What is measured: daily aggregates, Prometheus, drift."""
