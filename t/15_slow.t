# A reader that doesn't keep up: bounded, told, closed, and nobody else's trouble.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
# Readers who are to fall behind after a few publications have small buffers on either side: they come by this port.
my $narrow = $t->port;
my $node   = $t->node(
    'a',
    listen   => ["127.0.0.1:$narrow sndbuf=8k"],
    location => "weft_ticket key=$key; weft_rate off; weft_message_size 64k; weft_send_queue 256k;",
);
my $nginx = $node->nginx;

sub slow_client { my (%more) = @_; return $node->client(with => { receive_buffer => 4096, %more }) }

check 'a reader that stops reading is closed with 4014 or reset, and others get everything' => sub {
    my @slow = map { slow_client() } 1 .. 3;
    my $good = $node->client;
    $_->subscribe('chat:slow') for @slow, $good;
    my $worker    = $nginx->worker_of($good);
    my $sockets   = $nginx->sockets_of($worker);
    my $publisher = $node->client;
    my $filler    = 'x' x 20_000;
    my ($count, $wrong) = (0, 0);

    # 20 MB pass, far more than 256 kB of queue and what the kernel buffers.
    for my $round (1 .. 100) {
        for (1 .. 10) {
            $count++;
            $publisher->send_text(qq({"type":"publish","payload":{"channel":"chat:slow","data":[$count,"$filler"]}}));
        }
        for my $n ($count - 9 .. $count) {
            $wrong++ if index($good->next_text, qq("data":[$n,"$filler"])) < 0;
        }
    }
    is($wrong, 0, "the good reader has all $count in order");

    ok(wait_for { $nginx->sockets_of($worker) <= $sockets - 3 + 1 }, 'the slow ones are gone from the worker');
    for my $slow (@slow) {
        my $close = eval { $slow->read_close } // { eof => $@ };
        ok(defined $close->{eof}, 'a slow one sees its end');
        ok(!$close->{clean} || $close->{code} == 4014, 'with 4014 if it is told')
            or diag($close->{code});
    }
    is($good->call('ping')->{type}, 'pong', 'the good one is served on');
};

check 'a reader that keeps up is not closed by a burst that is larger than its queue' => sub {
    my $other = $t->node('b', location => "weft_ticket key=$key; weft_rate off; weft_send_queue 64k;");
    my ($publisher, $good) = map { $other->client } 1 .. 2;
    $good->subscribe('chat:burst');
    my $filler = 'b' x 10_000;
    # 200 kB that leave for weftd in one batch, and come back in one. The kernel takes that much for an empty socket.
    $publisher->raw_send(join '', map {
        Weft::Client::frame_bytes(text => qq({"type":"publish","payload":{"channel":"chat:burst","data":[$_,"$filler"]}}))
    } 1 .. 20);
    my $arrived = grep { index($good->next_text, qq("data":[$_,"$filler"])) >= 0 } 1 .. 20;
    is($arrived, 20, 'everything arrives');
};

check "a slow reader costs the worker no more than its queue" => sub {
    my $worker = ($nginx->workers)[0];
    my $good   = $node->client;
    $good->subscribe('chat:memory');
    my $publisher = $node->client;
    my $filler    = 'y' x 30_000;
    my $round     = sub {
        $publisher->send_text(qq({"type":"publish","payload":{"channel":"chat:memory","data":"$filler"}})) for 1 .. 6;
        $good->next_text for 1 .. 6;
    };
    $round->() for 1 .. 5;
    my $closed = $node->status->{connections}{slow};
    my $before = $nginx->forget_peak($worker);
    my @slow   = map { slow_client(port => $narrow) } 1 .. 80;
    $_->subscribe('chat:memory') for @slow;
    $round->() for 1 .. 100;
    # They share the same 256 kB. Copied, those would be 80 times that, 20 MB; without a bound all of the 18 MB would wait.
    grew_less($nginx, $worker, $before, 6 << 20, 600 * 30_000, '80 slow readers of the same');
    ok(wait_for { $node->status->{connections}{slow} == $closed + 80 }, 'all of them are given up');
};

check 'a reader that is slow but reads before the bound is left alone' => sub {
    my $slow = slow_client();
    $slow->subscribe('chat:lazy');
    my $publisher = $node->client;
    my $filler    = 'z' x 10_000;
    for my $round (1 .. 20) {
        $publisher->must('publish', channel => 'chat:lazy', data => [ $_, $filler ]) for 1 .. 10;
        my @got = map { $slow->next_text =~ /"data":\[(\d+),/ } 1 .. 10;
        is_deeply(\@got, [ 1 .. 10 ], "round $round");
    }
};

# Sends the same bytes so many times, or fewer if the connection ends; the worker must give the client up.
sub send_unread {
    my ($client, $bytes, $times) = @_;
    my $before = $node->status->{connections}{slow};
    for (1 .. $times) {
        last unless eval { $client->raw_send($bytes) };
        wait_for { !$node->status->{link}{pending} };
    }
    ok(wait_for { $node->status->{connections}{slow} > $before }, 'it is given up');
    return;
}

check 'one who asks and does not read the answers is bounded too' => sub {
    my $client = slow_client();
    # No more at a time than may wait for their answers. Those that do are 5 MB, whoever reads them.
    my $bytes  = Weft::Client::frame_bytes(text => '{"type":"rpc","id":"x","payload":{"method":"weft.echo","params":"' . 'e' x 10_000 . '"}}') x 250;
    my $worker = $nginx->worker_of($client);
    my $before = $nginx->forget_peak($worker);
    send_unread($client, $bytes, 44);
    grew_less($nginx, $worker, $before, 20 << 20, 44 * 250 * 10_000, 'answers of 110 MB');
    is($node->client->call('ping')->{type}, 'pong', 'others are served');
};

check 'pings to one who does not read the pongs are bounded too' => sub {
    my $client = slow_client();
    my $bytes  = Weft::Client::frame_bytes(ping => 'p' x 125) x 25_000;
    my $worker = $nginx->worker_of($client);
    my $before = $nginx->forget_peak($worker);
    send_unread($client, $bytes, 30);
    grew_less($nginx, $worker, $before, 8 << 20, 30 * 25_000 * 127, 'pongs of 95 MB');
    is($node->client->call('ping')->{type}, 'pong', 'others are served');
};

# Channels that would rather lose something than the reader. Readers here have small buffers on either side, too.
my $small = $t->port;
my $lossy = $t->node(
    'lossy',
    listen   => ["127.0.0.1:$small sndbuf=8k"],
    rules    => "    weft_channel drop:* { publish on; overflow drop_oldest; }\n    weft_channel latest:* { publish on; overflow conflate; }\n",
    location => "weft_ticket key=$key; weft_rate off; weft_message_size 64k; weft_send_queue 64k;",
    server   => "        location /many { weft_websocket; weft_ticket key=$key; weft_rate off; weft_message_size 64k; weft_send_queue 2m; }\n",
    http     => "    weft_send_memory 8m;\n",
);

# Publishes 1 to $count with a filler while one reader reads and the other doesn't; then the other reads up to the last.
# What it got: its numbers, and how many gaps stood before each.
sub behind {
    my ($channel, $count) = @_;
    my ($slow, $good) = ($lossy->client(with => { port => $small, receive_buffer => 4096 }), $lossy->client);
    $_->subscribe($channel) for $slow, $good;
    my $publisher = $lossy->client;
    my $filler    = 'd' x 20_000;
    my $wrong     = 0;
    for my $n (1 .. $count) {
        $publisher->send_text(qq({"type":"publish","payload":{"channel":"$channel","data":[$n,"$filler"]}}));
        $wrong++ if index($good->next_text, qq("data":[$n,"$filler"])) < 0;
    }
    is($wrong, 0, 'the reader that keeps up has everything');
    my (@numbers, @gaps);
    while (!@numbers || $numbers[-1] < $count) {
        my $text = $slow->next_text // die 'the slow reader was closed behind ' . ($numbers[-1] // 'nothing') . "\n";
        if    ($text =~ /^\{"type":"gap"/) { push @gaps, scalar @numbers }
        elsif ($text =~ /"data":\[(\d+),/) { push @numbers, $1 }
    }
    is_deeply(\@numbers, [ sort { $a <=> $b } @numbers ], 'what the slow one gets is in order');
    is($slow->call('ping')->{type}, 'pong', 'and it is still connected');
    return (\@numbers, \@gaps);
}

check 'overflow drop_oldest: the oldest are lost, each loss is told where it was, the newest arrive' => sub {
    my ($numbers, $gaps) = behind('drop:x', 400);
    my %told = map { $_ => 1 } @$gaps;
    my @untold = grep { $numbers->[$_] != $numbers->[ $_ - 1 ] + 1 && !$told{$_} } 1 .. $#$numbers;
    cmp_ok(scalar @$numbers, '<', 400, 'something was lost');
    is_deeply(\@untold, [], 'and never silently');
    cmp_ok($lossy->status->{messages}{dropped}, '>=', 400 - @$numbers, 'weft_status counts it');
};

check 'overflow conflate: a reader that is behind gets the newest alone' => sub {
    my ($numbers, $gaps) = behind('latest:x', 400);
    cmp_ok(scalar @$numbers, '<', 400, 'something was replaced');
    is_deeply($gaps, [], 'without a word');
    cmp_ok($lossy->status->{messages}{conflated}, '>=', 400 - @$numbers, 'weft_status counts it');
};

check 'weft_send_memory: many slow readers of many channels stay within it together' => sub {
    my $worker = ($lossy->nginx->workers)[0];
    my @slow   = map { $lossy->client(with => { path => '/many', port => $small, receive_buffer => 4096 }) } 1 .. 100;
    $slow[$_]->subscribe("drop:$_") for 0 .. $#slow;
    my $good = $lossy->client;
    $good->subscribe('drop:good');
    my $before    = $lossy->nginx->forget_peak($worker);
    my $publisher = $lossy->client;
    my $filler    = 'm' x 17_000;
    for my $round (1 .. 75) {
        for my $n (0 .. $#slow) {
            $publisher->raw_send(Weft::Client::frame_bytes(
                text => qq({"type":"publish","payload":{"channel":"drop:$n","data":"$filler"}})));
        }
        $publisher->send_text(qq({"type":"publish","payload":{"channel":"drop:good","data":$round}}));
        is($good->event->{data}, $round, "round $round: the good one is served");
    }
    # Each of them could have all that was published for it, by its own queue. Beside the 8 MB there are rounds on their way.
    grew_less($lossy->nginx, $worker, $before, 32 << 20, 75 * 100 * 17_000, '100 slow readers, each of a channel');
    is($lossy->status->{connections}{slow}, 0, 'nobody had to be closed');
    cmp_ok($lossy->status->{connections}{blocked}, '>', 90, 'though most are behind');
};

$t->finish;
done_testing;
