"""The bus: a durable, sequenced log of messages with consumer groups."""
