package git

// LimitPacks makes stores that are opened from now on be compacted earlier.
func (s *Stores) LimitPacks(n int) { s.packs = n }
