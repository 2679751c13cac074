"""Market facts: products, contracts, calendars and expiries, from dated tables."""
