"""Files written whole, locks on them, where they may go, and names that are safe on a terminal."""
