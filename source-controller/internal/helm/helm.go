// Package helm holds the options that the kinds of Helm share.
package helm

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// Options bound what is read of chart repositories and charts.
type Options struct {
	IndexMaxSize     int64 // bytes of an index
	ChartMaxSize     int64 // bytes of a packaged chart
	ChartFileMaxSize int64 // bytes of one file of a chart

	CacheMaxSize       int           // indexes that are kept in memory; 0 means none
	CacheTTL           time.Duration // how long one is kept that nobody uses
	CachePurgeInterval time.Duration // how often those are looked for that nobody uses
}

// Bind defines the flags.
func (o *Options) Bind(fs *pflag.FlagSet) {
	fs.Int64Var(&o.IndexMaxSize, "helm-index-max-size", 50<<20, "bytes above which the index of a Helm repository is refused")
	fs.Int64Var(&o.ChartMaxSize, "helm-chart-max-size", 10<<20, "bytes above which a packaged Helm chart is refused")
	fs.Int64Var(&o.ChartFileMaxSize, "helm-chart-file-max-size", 5<<20, "bytes above which a file of a Helm chart is refused")
	fs.IntVar(&o.CacheMaxSize, "helm-cache-max-size", 0, "number of Helm repository indexes to keep in memory; 0 means none")
	fs.DurationVar(&o.CacheTTL, "helm-cache-ttl", 15*time.Minute, "how long a Helm repository index is kept in memory that nobody uses")
	fs.DurationVar(&o.CachePurgeInterval, "helm-cache-purge-interval", time.Minute, "how often Helm repository indexes that nobody uses are dropped from memory")
}

// Validate refuses limits that would let nothing pass.
func (o *Options) Validate() error {
	for _, limit := range []struct {
		flag  string
		value int64
	}{
		{"helm-index-max-size", o.IndexMaxSize}, {"helm-chart-max-size", o.ChartMaxSize}, {"helm-chart-file-max-size", o.ChartFileMaxSize},
	} {
		if limit.value <= 0 {
			return fmt.Errorf("--%s is %d: it must be positive", limit.flag, limit.value)
		}
	}
	if o.CacheMaxSize < 0 {
		return fmt.Errorf("--helm-cache-max-size is %d: it must not be negative", o.CacheMaxSize)
	}
	if o.CacheMaxSize > 0 && (o.CacheTTL <= 0 || o.CachePurgeInterval <= 0) {
		return fmt.Errorf("--helm-cache-ttl is %s and --helm-cache-purge-interval is %s: both must be positive", o.CacheTTL, o.CachePurgeInterval)
	}
	return nil
}
