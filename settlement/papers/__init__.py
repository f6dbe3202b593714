"""Papers that people read: a statement for each partner, a report for the operator, as HTML with pictures."""
