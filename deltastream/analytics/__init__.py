"""What is computed from market messages: enrichment, bars, surfaces."""
