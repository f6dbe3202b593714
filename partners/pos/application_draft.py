"""The draft of an application that a partner fills in."""

DRAFT = """\
# Application to join a network. Fill it in, then: tallystick pos apply draft.toml --key-id ... --key-file ... --out acme.toml
audience = "coalition.example:prod"      # the network, as its operator calls it
partner_id = "acme"                      # 2 to 32 characters of a-z, 0-9 and -; it can never change
legal_name = "Acme Groceries B.V."
address = "Market Street 1, 1234 AB Utrecht, NL"
vat_id = "NL123456782B12"                # leave the line out if there is none
iban = "NL91ABNA0417164300"
# bic = "ABNANL2A"                       # within SEPA the IBAN is enough
currency = "EUR"                         # in which you settle
time_zone = "Europe/Amsterdam"           # by which your business dates run
roles = ["issuer", "redeemer"]
units = ["EUR"]                          # what you issue points on: currencies, or points of your own such as "acme:STAR"
contact = "points@acme.example"

[rate_card]                              # prices in minor units (cents) per point
effective_from = "2026-01-01"            # first business date
issue_price = "1.10"                     # what you owe for a point that you issue
face_value = "1.00"                      # what a member gets for a point at your till
reimbursement_rate = "0.96"              # what you get for a point that is redeemed at your till

[rate_card.issue_rates]                  # points per unit, as a fraction
EUR = "1/2"
"""
