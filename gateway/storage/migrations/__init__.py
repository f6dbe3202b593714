"""The schema's history: one frozen version after the other, applied by `gateway.storage.migrate`."""
