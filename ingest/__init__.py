"""From the broker to the store and to the screens: decode, write, acknowledge; fold, encode, publish."""
