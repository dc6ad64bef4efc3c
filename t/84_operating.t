# weftd's HTTP: health, readiness and metrics, as a load balancer, systemd and Prometheus see them.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use HTTP::Tiny;
use IO::Socket::IP;
use JSON::PP;
use Test::More;
use Weft::Test;

local $SIG{PIPE} = 'IGNORE';
my $t    = Weft::Test->new;
my $key  = $t->key_file;
my %port = map { $_ => $t->port } qw(a b mesh_a mesh_b);
my %mesh = map { $_ => "tcp://127.0.0.1:$port{\"mesh_$_\"}" } qw(a b);

sub start {
    my ($name, $peer, %more) = @_;
    return $t->node(
        $name,
        mesh       => $mesh{$name},
        peers      => [ $mesh{$peer} ],
        http       => 'weft_channel old:* { publish on; history 10 1m; }',
        location   => "weft_ticket key=$key; weft_rate off;",
        weftd_yaml => "http: 127.0.0.1:$port{$name}\nhistory: {max_bytes: 8m}\n",
        %more,
    );
}
sub get {
    my ($name, $path) = @_;
    return HTTP::Tiny->new(timeout => 20)->get("http://127.0.0.1:$port{$name}$path");
}
sub metric {
    my ($name, $metric) = @_;
    my ($value) = get($name, '/metrics')->{content} =~ /^\Q$metric\E (\S+)$/m;
    return $value;
}

my $a = start('a', 'b');

check 'a node whose peer is away is healthy, and ready after its wait' => sub {
    my $health = get('a', '/healthz');
    is($health->{status}, 200, 'healthy');
    is(decode_json($health->{content})->{node}, 'a', 'by its name');
    ok(wait_for { get('a', '/readyz')->{status} == 200 }, 'ready');
    my $ready = decode_json(get('a', '/readyz')->{content});
    is($ready->{workers}, 1, 'it knows its worker');
    is_deeply($ready->{peers}, [ { endpoint => $mesh{b}, node => '', up => JSON::PP::false } ], 'and names the peer that is down');
    is(metric('a', qq(weftd_peer_up{endpoint="$mesh{b}",node=""})), 0, 'so do the metrics');
};

my $b = start('b', 'a');

check 'metrics count what happens' => sub {
    ok(wait_for { (metric('a', qq(weftd_peer_up{endpoint="$mesh{b}",node="b"})) // 0) == 1 }, 'the peer is up');
    my $ann = $a->client;
    $ann->subscribe('old:a');
    $ann->must('publish', channel => 'old:a', data => 'x' x 100) for 1 .. 3;
    ok(wait_for { metric('a', 'weftd_published_total') >= 3 }, 'publications');
    ok(wait_for { metric('a', 'weftd_history_bytes') >= 300 }, 'bytes of history');
    is(metric('a', 'weftd_history_max_bytes'), 8 << 20, 'and their bound');
    is(metric('a', 'weftd_channels_with_history'), 1, 'the channel');
    is(metric('a', 'weftd_links{role="worker"}'), 1, 'links');
    is(metric('a', 'weftd_ready'), 1, 'ready');
    ok(wait_for { (metric('a', 'weftd_peer_unacknowledged_frames{node="b"}') // 1) == 0 }, 'the peer has confirmed all');
    is(metric('a', 'weftd_peer_lag_milliseconds{node="b"}'), 0, 'and lags no more');
    my $position = $ann->must('history', channel => 'old:a', limit => 1)->{position};
    my $read = metric('a', 'weftd_history_reads_total{outcome="recovered"}');
    my $bob  = $a->client;
    ok($bob->must('subscribe', channel => 'old:a', position => $position)->{recovered}, 'one resumes');
    ok(wait_for { metric('a', 'weftd_history_reads_total{outcome="recovered"}') > $read }, 'which is counted');
    $a->publish('old:a', '"more"') for 1 .. 20;
    ok(!$a->client->must('subscribe', channel => 'old:a', position => $position)->{recovered}, 'one comes too late');
    ok(wait_for { metric('a', 'weftd_history_reads_total{outcome="lost"}') == 1 }, 'which is counted, too');
    my $answer = get('a', '/metrics');
    like($answer->{headers}{'content-type'}, qr{^text/plain; version=0\.0\.4}, 'in Prometheus form');
    my @bad = grep { !/^(?:# (?:HELP|TYPE) weftd_\w+ .+|weftd_\w+(?:\{[^}]*\})? [0-9.e+]+)$/ } split /\n/, $answer->{content};
    is("@bad", '', 'each line of it');
};

check 'a node that hangs is unhealthy, and its pages say so' => sub {
    $b->weftd->signal('STOP');
    $a->publish('old:a', '"nobody confirms this"');
    ok(wait_for { (metric('a', 'weftd_peer_lag_milliseconds{node="b"}') // 0) >= 500 }, 'its lag is seen to grow');
    my $hung = wait_for { get('a', '/readyz')->{content} =~ /"up":false/ };
    ok($hung, 'its peer notices');
    is(get('a', '/readyz')->{status}, 200, 'and stays ready');
    $b->weftd->signal('CONT');
    ok(wait_for { get('b', '/healthz')->{status} == 200 }, 'it is healthy when it goes on');
};

check 'strangers to HTTP do no harm' => sub {
    is(get('a', '/nothing')->{status}, 404, 'another path');
    my @idle = map { IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port{a}) } 1 .. 20;
    ok(wait_for { get('a', '/healthz')->{status} == 200 }, 'connections that say nothing are given up');
    print { $idle[0] } "\x00" x 10_000;
    ok($a->weftd->running, 'garbage');
    is($a->client->call('rpc', method => 'weft.time')->{type}, 'rpc_response', 'the broker goes on');
};

check 'an address that is taken is told at start' => sub {
    my $c = $t->weftd('c', stopped => 1, weftd_yaml => "http: 127.0.0.1:$port{a}\n");
    ok(!eval { $c->start; 1 }, 'it does not start');
    like($@, qr/can't listen on http 127\.0\.0\.1:$port{a}/, 'and says why');
};

$t->expect_in_log(qr/can't listen on http/);
$t->finish;
done_testing;
