# A weftd with several shards: what the other files say of one holds of four, and what is different is said here.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use HTTP::Tiny;
use IO::Socket::IP;
use Test::More;
use Weft::Test;

my $SHARDS = 4;

# The same files again, each with a weftd of four shards.
for my $file (qw(06_fanout 07_mesh 10_weftd_restart 80_history 81_presence 82_ack 85_curve 86_discovery 86_hooks)) {
    check "t/$file.t holds with $SHARDS shards" => sub {
        local $ENV{WEFT_SHARDS}      = $SHARDS;
        local $ENV{WEFT_ACK_SECONDS} = $ENV{WEFT_ACK_SECONDS} // 8;
        my $output = qx{'$^X' '-I$FindBin::Bin/lib' '$FindBin::Bin/$file.t' 2>&1};
        is($? >> 8 || $? & 127, 0, 'as with one') or diag($output);
        unlike($output, qr/^1\.\.0/m, 'and is not skipped');
    };
}

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $http = $t->port;
my $node = $t->node('a', workers => 2, shards => $SHARDS, weftd_yaml => "http: 127.0.0.1:$http\n",
    rules => "weft_channel chat:* { publish on; }\nweft_channel old:* { publish on; history 100 1m; }\n",
    location => "weft_ticket key=$key; weft_rate off;");
my $socket = "$node->{weftd}{folder}/weftd.sock";
my @some   = map { ("chat:$_", "old:$_") } 1 .. 12;    # of every shard there are some

sub metrics { return HTTP::Tiny->new(timeout => 20)->get("http://127.0.0.1:$http/metrics")->{content} }

check 'each shard has a socket beside the first, and every worker a link to each' => sub {
    ok(-S $_, $_) for $socket, map { "$socket.$_" } 1 .. $SHARDS - 1;
    ok(!-e "$socket.$SHARDS", 'no more than that');
    my $link = $node->status->{link};
    is_deeply($link, { up => 2, pending => 0, state => 'up', shards => [ ('up') x $SHARDS ] }, 'weft_status names them');
};

check 'metrics are of all shards, which share the channels' => sub {
    my $ann = $node->client;
    for my $channel (@some) {
        $ann->subscribe($channel);
        $ann->must('publish', channel => $channel, data => 1);
    }
    my $metrics;
    ok(wait_for { ($metrics = metrics()) =~ /^weftd_published_total 24$/m }, 'all that was published')
        or diag($metrics);
    like($metrics, qr/^weftd_shards $SHARDS$/m, 'the number of shards');
    like($metrics, qr/^weftd_workers 2$/m,      'a worker is one, whatever the number of its links');
    my @published = $metrics =~ /^weftd_shard_published_total\{shard="\d"\} (\d+)$/mg;
    is(scalar @published, $SHARDS, 'a figure for each');
    is(scalar(grep { $_ > 0 } @published), $SHARDS, 'and each has its part');
    my $sum = 0;
    $sum += $_ for @published;
    is($sum, 24, 'which make up the whole');
};

check 'a weftd that comes back with another number of shards loses nothing in silence' => sub {
    for my $shards (2, 1, 5, $SHARDS) {
        my ($ann, $bob) = ($node->client, $node->client);
        for my $channel (@some) {
            $bob->subscribe($channel);
            $ann->must('publish', channel => $channel, data => 'before');
            is($bob->event->{data}, 'before', "$channel before") or return;
        }
        $node->weftd->crash;
        $node->weftd->{options}{shards} = $shards;
        $node->weftd->start;
        my $linked = wait_for {
            my $status = $node->status;
            my @state = @{ $status->{link}{shards} };
            $status->{link}{up} == 2 && @state == $shards;
        };
        ok($linked, "the workers have their links to $shards") or return;
        my %gaps;
        $gaps{ $bob->expect('gap')->{payload}{channel} }++ for @some;
        is_deeply(\%gaps, { map { $_ => 1 } @some }, 'of each channel it is told that something may have been missed');
        for my $channel (@some) {
            $ann->must('publish', channel => $channel, data => "after $shards");
            is($bob->event->{data}, "after $shards", "$channel goes on") or return;
        }
        is_deeply([ $bob->drain ], [], 'and that is all');
    }
    is_deeply([ grep { /sock\.[4-9]/ } glob "$socket*" ], [], 'no socket is left of shards that are gone');
};

check 'peers with another number of shards are refused, and both ends say why' => sub {
    my %listen = map { $_ => 'tcp://127.0.0.1:' . $t->port(3) } qw(b c);
    my $b = $t->weftd('b', shards => 3, mesh => $listen{b}, peers => [ $listen{c} ]);
    my $c = $t->weftd('c', shards => 2, mesh => $listen{c}, peers => [ $listen{b} ]);
    my $why = qr/node b has 3 shards, node c has 2 shards; expected the same/;
    ok(wait_for { $c->log_text =~ /event=link_rejected role=peer .*$why/ }, 'who was dialed');
    ok(wait_for { $b->log_text =~ /event=peer_refused .*$why/ }, 'who dialed');
    $c->stop;
    $c->{options}{shards} = 3;
    $c->start;
    ok(wait_for { $b->log_text =~ /event=peer_up peer=c direction=out .*shard=2/ }, 'with the same number they are linked');
};

check 'an address that a shard cannot have is named' => sub {
    my $port  = $t->port(2);
    my $taken = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => $port + 1, Listen => 1) or die "listen: $!\n";
    my $weftd = $t->weftd('d', shards => 2, mesh => "tcp://127.0.0.1:$port", stopped => 1);
    $weftd->write_configuration;
    my $output = qx{'$Weft::Test::BUILD/weftd' --config '$weftd->{folder}/weftd.yaml' 2>&1};
    isnt($?, 0, 'weftd does not start');
    like($output, qr{can't listen on tcp://127\.0\.0\.1:@{[ $port + 1 ]}: }, 'and says where');
    ok(!-e "$weftd->{folder}/weftd.sock", 'nothing is left behind');
};

$t->finish;
done_testing;
