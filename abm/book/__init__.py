"""Price-time-priority order books."""
