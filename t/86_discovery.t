# Peers found by a name: nodes whose /etc/hosts is a file of the test, in a mount namespace of their own.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

# hosts(5) is what getaddrinfo() reads first; bound over, it is the test's, and nobody else sees that.
my $can = qx{unshare -m sh -c 'mount --bind /etc/hostname /etc/hosts && cmp -s /etc/hostname /etc/hosts && echo yes' 2>&1};
plan skip_all => "needs root for a mount namespace (unshare -m): $can" if $can ne "yes\n";

my $t     = Weft::Test->new;
my $hosts = $t->prefix . '/hosts';
my $port  = $t->port;
my @under = ('unshare', '-m', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', $hosts);
my %with   = (location => 'weft_ticket key=' . $t->key_file . '; weft_rate off;');

# In place: a new file would not be the one that is bound.
sub resolve_to {
    my (@addresses) = @_;
    open my $file, '+<', $hosts or die "$hosts: $!\n";
    print {$file} map { "$_ weft.internal\n" } @addresses;
    truncate $file, tell $file;
    close $file or die "$hosts: $!\n";
    return;
}
sub start {
    my ($name, $address, %more) = @_;
    return $t->node($name,
        mesh       => "tcp://$address:$port",
        peers      => ["dns+tcp://weft.internal:$port"],
        weftd_yaml => "  resolve: 300ms\n  heartbeat: 100ms\n  insecure: true\n",
        under      => \@under,
        %with, %more);
}
sub logs {
    my ($node, $pattern, $from) = @_;
    my $shards = $ENV{WEFT_SHARDS} || 1;    # each says so
    return wait_for { (() = substr($node->weftd->log_text, $from // 0) =~ /$pattern/g) >= $shards };
}
sub hears {
    my ($from, $to) = @_;
    my ($publisher, $subscriber) = ($from->client, $to->client);
    my $channel = 'chat:' . int rand 1e9;
    $subscriber->subscribe($channel);
    return wait_for {
        $publisher->must('publish', channel => $channel, data => 1);
        $subscriber->event(timeout => 0.2, quiet => 1);
    };
}

spew($hosts, '');
my $a = start('a', '127.0.7.1');

check 'a name without an address is told, once, and the node serves' => sub {
    ok(logs($a, qr/peers_unresolved name=weft\.internal why="?Name or service not known/), 'the log says it');
    ok($a->client->must('publish', channel => 'chat:alone', data => 1), 'a client publishes');
    select undef, undef, undef, 1;    # three more answers
    is(scalar(() = $a->weftd->log_text =~ /peers_unresolved/g), $ENV{WEFT_SHARDS} || 1, 'once, by each shard');
};

my $b = start('b', '127.0.7.2');

check 'all addresses of a name are dialed, but the own one' => sub {
    resolve_to('127.0.7.1', '127.0.7.2');
    ok(hears($a, $b), 'b hears a');
    ok(hears($b, $a), 'a hears b');
    unlike($a->weftd->log_text, qr{peer_dial endpoint=tcp://127\.0\.7\.1:}, 'nobody dials itself');
};

check 'a node that listens on all addresses knows itself, and others know it, by what they are told' => sub {
    my $other = $t->port;
    my @common = (peers => ["dns+tcp://weft.internal:$other"], under => \@under,
        weftd_yaml => "  resolve: 300ms\n  insecure: true\n");
    my $c = $t->weftd('c', mesh => "tcp://*:$other", @common);
    for my $address ('127.0.7.1', '127.0.7.2') {
        ok(wait_for { $c->log_text =~ m{peer_is_this_node endpoint=tcp://$address:} }, "$address is this node");
    }
    unlike($c->log_text, qr/ warning /, 'which is no trouble');
    my $e = $t->weftd('e', mesh => 'tcp://127.0.7.9:' . $t->port, @common);
    ok(wait_for { $e->log_text =~ m{ info event=peer_refused peer=c endpoint=tcp://127\.0\.7\.2:.*it is the node that tcp://127\.0\.7\.1:} },
        'a node of two addresses has one link');
    my $from = length $e->log_text;
    select undef, undef, undef, 1;
    unlike(substr($e->log_text, $from), qr/peer_down direction=out/, 'which stays');
    is($_->stop, 0, 'it ends') for $c, $e;
};

my $d = start('d', '127.0.7.3');

check 'an address that is added later is dialed' => sub {
    my $from = length $a->weftd->log_text;
    resolve_to(map { "127.0.7.$_" } 1 .. 3);
    ok(logs($a, qr{peer_dial endpoint=tcp://127\.0\.7\.3:}, $from), 'by a');
    ok(hears($d, $_), $_->name . ' hears d') for $a, $b;
    ok(hears($_, $d), 'd hears ' . $_->name) for $a, $b;
};

check 'an address that vanishes is kept while its node is there, and dropped when it is gone' => sub {
    my $from = length $a->weftd->log_text;
    resolve_to('127.0.7.1', '127.0.7.2');
    select undef, undef, undef, 2;    # more than three answers without it
    ok(hears($d, $a), 'its node is heard');
    unlike(substr($a->weftd->log_text, $from), qr/peer_removed/, 'the link stays');
    $d->weftd->stop;
    ok(logs($a, qr{peer_removed endpoint=tcp://127\.0\.7\.3:}, $from), 'until the node has gone');
    ok(hears($a, $b), 'the others go on');
};

check 'names that can\'t be resolved for a while change nothing' => sub {
    my $from = length $a->weftd->log_text;
    resolve_to();
    ok(logs($a, qr/peers_unresolved/, $from), 'it is told');
    select undef, undef, undef, 1.5;
    unlike(substr($a->weftd->log_text, $from), qr/peer_removed|peer_down/, 'links stay');
    ok(hears($a, $b), 'and carry');
};

check 'an address where nobody is does no harm' => sub {
    resolve_to('127.0.7.1', '127.0.7.2', '127.0.7.4');
    ok(logs($a, qr{peer_unreachable endpoint=tcp://127\.0\.7\.4:}, 0), 'it is told');
    ok(hears($a, $b), 'the others go on');
};

$t->finish;
done_testing;
