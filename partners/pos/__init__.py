"""What a partner runs: signing channel, client, receipt check. Needs no database."""
