"""Statistics: what votes of a trial allow to say, and how surely. Plain values: no ledger, no pictures, no clock."""
