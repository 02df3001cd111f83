// Command peers is the systems that the node is measured beside, at fixed versions, in
// a module of its own:
//
//	peers nats ARGUMENTS          a NATS server
//	peers etcd ARGUMENTS          a member of an etcd cluster
//	peers etcd-put CLIENTS WARM RUN ENDPOINT…
//
// etcd-put is a closed loop of CLIENTS clients, over 16 connections at most and all of
// them to the leader, of which each puts 64 bytes at a key of its own. It prints the
// latency in nanoseconds of every put that began after WARM and ended before RUN after
// that, one a line.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	var err error
	switch name, args := os.Args[min(1, len(os.Args)-1)], os.Args[min(2, len(os.Args)):]; name {
	case "nats":
		err = nats(args)
	case "etcd":
		etcdmain.Main(append([]string{"etcd"}, args...)) // does not return
	case "etcd-put":
		err = etcdPut(args)
	default:
		err = fmt.Errorf("there is no peer %q", name)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func nats(args []string) error {
	flags := flag.NewFlagSet("nats", flag.ExitOnError)
	options, err := server.ConfigureOptions(flags, args, server.PrintServerAndExit, flags.Usage, server.PrintTLSHelpAndDie)
	if err != nil {
		return err
	}
	s, err := server.NewServer(options)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	if err := server.Run(s); err != nil {
		return err
	}
	s.WaitForShutdown()
	return nil
}

func etcdPut(args []string) error {
	if len(args) < 4 {
		return errors.New("etcd-put CLIENTS WARM RUN ENDPOINT…")
	}
	clients, err1 := strconv.Atoi(args[0])
	warm, err2 := time.ParseDuration(args[1])
	run, err3 := time.ParseDuration(args[2])
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	leader, err := etcdLeader(args[3:])
	if err != nil {
		return err
	}
	const most = 16
	connections := make([]*clientv3.Client, min(clients, most))
	for i := range connections {
		if connections[i], err = etcdConnect(leader); err != nil {
			return err
		}
	}
	latencies, errs := make([][]time.Duration, clients), make([]error, clients)
	value, from := strings.Repeat("x", 64), time.Now().Add(warm)
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), warm+run+10*time.Second)
			defer cancel()
			for key := "k/" + strconv.Itoa(i); time.Since(from) < run; {
				began := time.Now()
				if _, err := connections[i%most].Put(ctx, key, value); err != nil {
					errs[i] = err
					return
				}
				if now := time.Now(); began.After(from) && now.Sub(from) < run {
					latencies[i] = append(latencies[i], now.Sub(began))
				}
			}
		})
	}
	running.Wait()
	out := bufio.NewWriter(os.Stdout)
	for _, l := range latencies {
		for _, d := range l {
			fmt.Fprintln(out, d.Nanoseconds())
		}
	}
	return errors.Join(append(errs, out.Flush())...)
}

func etcdConnect(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second})
}

// etcdLeader is the endpoint of the member that leads.
func etcdLeader(endpoints []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var err error
	for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		for _, endpoint := range endpoints {
			var c *clientv3.Client
			if c, err = etcdConnect(endpoint); err != nil {
				return "", err
			}
			var status *clientv3.StatusResponse
			status, err = c.Status(ctx, endpoint)
			if err = errors.Join(err, c.Close()); err == nil && status.Leader == status.Header.MemberId {
				return endpoint, nil
			}
		}
	}
	return "", fmt.Errorf("etcd has no leader: %w", errors.Join(err, ctx.Err()))
}
