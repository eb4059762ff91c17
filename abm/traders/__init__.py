"""Who trades: retail, makers, arbitrageurs, value buyers, hedgers, noise and treasury companies."""
