"""The papers' claims, checked: what runs, what is compared, and the page that says how it came out."""
