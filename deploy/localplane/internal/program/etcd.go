package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

const (
	// Entries of the raft log stay in memory between snapshots. They are for
	// followers, and there are none.
	snapshotCount = 2000
	catchUpCount  = 500
	// segment is the size of a file of the write-ahead log, two of which are
	// allocated from the start.
	segment = 16 << 20
	quota   = 4 << 30
)

// runEtcd runs one member that is its own cluster, for clients with a certificate.
func runEtcd(args []string) error {
	config, err := etcdConfig(args)
	if err != nil {
		return err
	}
	wal.SegmentSizeBytes = segment
	member, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	defer member.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	select {
	case <-ctx.Done():
		return nil
	case <-member.Server.StopNotify():
		return errors.New("the server has stopped")
	case err := <-member.Err():
		return fmt.Errorf("serving: %w", err)
	}
}

// etcdConfig reads the flags that the package component gives.
func etcdConfig(args []string) (*embed.Config, error) {
	config := embed.NewConfig()
	config.Name = "localplane"
	config.LogLevel = "warn"
	config.EnableGRPCGateway = false
	config.SnapshotCount, config.SnapshotCatchUpEntries = snapshotCount, catchUpCount
	config.QuotaBackendBytes = quota

	tls := transport.TLSInfo{ClientCertAuth: true}
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	flags.StringVar(&config.Dir, "data-dir", "", "")
	flags.StringVar(&tls.TrustedCAFile, "ca", "", "")
	flags.StringVar(&tls.CertFile, "cert", "", "")
	flags.StringVar(&tls.KeyFile, "key", "", "")
	client, peer := flags.String("client", "", ""), flags.String("peer", "", "")
	fsync := flags.Bool("fsync", false, "")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	clients, err := url.Parse(*client)
	if err != nil {
		return nil, fmt.Errorf("parsing --client: %w", err)
	}
	peers, err := url.Parse(*peer)
	if err != nil {
		return nil, fmt.Errorf("parsing --peer: %w", err)
	}
	config.UnsafeNoFsync = !*fsync
	config.ClientTLSInfo, config.PeerTLSInfo = tls, tls
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*clients}, []url.URL{*clients}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peers}, []url.URL{*peers}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	return config, nil
}
