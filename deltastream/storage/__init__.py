"""The store: history behind one repository protocol."""
