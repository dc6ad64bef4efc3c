# History and resume: a client comes back to the same worker, another worker, another node, after weftd was killed.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t     = Weft::Test->new;
my $key   = $t->key_file;
my %with  = (
    location => "weft_ticket key=$key; weft_rate off;",
    rules    => "weft_channel short:* { publish on; history 5 10m; }\n"
        . "weft_channel chat:** { publish on; history 1000 10m; }\nweft_channel ** { publish on; }\n",
);
my $alone = $t->node(
    'alone', workers => 2, %with,
    rules  => "weft_channel newest:* { publish on; history 10 10m; deliver latest; }\n$with{rules}",
    server => "        location /entered { weft_websocket; weft_ticket key=$key; weft_rate off; weft_subscribe \$arg_channel; }\n",
);
my ($a, $b, $c) = $t->mesh('a', 'b', 'c', { %with, weftd_yaml => "\n" });

*served = \&Weft::Test::Node::served;

# Publishes these values in turn; returns the last position.
sub publish_all {
    my ($client, $channel, @data) = @_;
    my $position;
    $position = $client->must('publish', channel => $channel, data => $_)->{position} for @data;
    return $position;
}
# The data of the next so many events.
sub next_events {
    my ($client, $count) = @_;
    return [ map { $client->event->{data} } 1 .. $count ];
}
# Waits until a node's history has so many publications; returns their data.
sub history_of {
    my ($client, $channel, $count) = @_;
    my @events;
    wait_for {
        @events = @{ $client->must('history', channel => $channel)->{events} };
        @events >= $count;
    };
    return [ map { $_->{data} } @events ];
}

check 'a client that comes back gets what it missed, in order, and then what is new' => sub {
    my ($one, $two) = $alone->client_per_worker;
    for my $back ($one, $two) {
        my $channel = 'chat:back-' . ($back == $one ? 'same' : 'other');
        my $away    = $alone->client;
        is($away->subscribe($channel)->{replay}, 0, 'nothing is replayed to one who asks for nothing');
        publish_all($one, $channel, 1, 2);
        $away->event;
        my $position = $away->event->{position};
        $away->leave;
        publish_all($one, $channel, 3 .. 7);
        my $subscribed = $back->subscribe($channel, position => $position);
        ok($subscribed->{recovered}, 'recovered');
        is($subscribed->{replay}, 5, 'five are replayed');
        publish_all($one, $channel, 8);
        my @events = map { $back->event } 1 .. 6;
        is_deeply([ map { $_->{data} } @events ], [ 3 .. 8 ], 'and come once, in order');
        # Each position is good for a resume of its own.
        my $again = $alone->client;
        is($again->subscribe($channel, position => $events[2]{position})->{replay}, 3, 'from the middle of the replay');
        is_deeply(next_events($again, 3), [ 6, 7, 8 ], 'comes the rest');
    }
};

check 'what is trimmed is told' => sub {
    my $client     = $alone->client;
    my $start      = $client->subscribe('short:trim')->{position};
    my $position   = publish_all($client, 'short:trim', 1 .. 12);
    my $back       = $alone->client;
    my $subscribed = $back->subscribe('short:trim', position => $start);
    ok(!$subscribed->{recovered}, 'not recovered');
    is($subscribed->{replay}, 5, 'what is left is replayed');
    is_deeply(next_events($back, 5), [ 8 .. 12 ], 'all of it');
    ok($alone->client->subscribe('short:trim', position => $position)->{recovered}, 'who missed nothing is told so');
    ok(!$alone->client->subscribe('short:trim', position => 'abc.4')->{recovered}, 'nobody knows that stream');
    my $none = $alone->client->subscribe('other', position => $alone->client->subscribe('other')->{position});
    ok($none->{recovered}, 'without history, too, who missed nothing is told so');
};

check 'a long replay comes page by page, and others are served meanwhile' => sub {
    my $client = $alone->client;
    my $start  = $client->subscribe('chat:long')->{position};
    my $text   = 'x' x 1000;
    publish_all($client, 'chat:long', map { "$_ $text" } 1 .. 600);
    my $back = $alone->client;
    is($back->subscribe('chat:long', position => $start)->{replay}, 600, 'announced');
    $client->must('publish', channel => 'chat:long', data => "601 $text");
    is(join(',', map { (split ' ', $back->event->{data})[0] } 1 .. 601), join(',', 1 .. 601), 'all, in order, none twice');
};

check 'history is read in pages' => sub {
    my $client = $alone->client;
    publish_all($client, 'chat:pages', 1 .. 7);
    my $page = $client->must('history', channel => 'chat:pages', limit => 3);
    is_deeply([ map { $_->{data} } @{ $page->{events} } ], [ 1, 2, 3 ], 'the oldest first');
    ok(!$page->{complete}, 'there is more');
    $page = $client->must('history', channel => 'chat:pages', limit => 3, after => $page->{position});
    is_deeply([ map { $_->{data} } @{ $page->{events} } ], [ 4, 5, 6 ], 'then those behind it');
    $page = $client->must('history', channel => 'chat:pages', after => $page->{events}[1]{position});
    is_deeply([ map { $_->{data} } @{ $page->{events} } ], [ 6, 7 ], 'from the position of one of them');
    ok($page->{complete} && $page->{recovered}, 'and that is all');
    is_deeply($client->must('history', channel => 'chat:never')->{events}, [], 'none where nothing was published');
    is($client->call('history', channel => 'other')->{payload}{code}, 4010, 'none where none is kept');
    my $may_not = $alone->client(channels => { '**' => ['subscribe'] });
    is($may_not->call('history', channel => 'chat:pages')->{payload}{code}, 4010, 'not without the grant');
    is($client->call('history', channel => 'chat:pages', after => 'nonsense')->{payload}{code}, 4006, 'no position');
};

check 'weftd killed without peers: a gap is told, and a resume from before is not recovered' => sub {
    my $client   = $alone->client;
    my $position = $client->subscribe('chat:gone')->{position};
    $position = publish_all($client, 'chat:gone', 1, 2);
    is_deeply(next_events($client, 2), [ 1, 2 ], 'delivered');
    $alone->weftd->crash;
    $alone->weftd->start;
    ok(served($client), 'served again');
    $alone->wait_linked;
    is($client->expect('gap')->{payload}{channel}, 'chat:gone', 'the gap is told');
    my $back = $alone->client;
    ok(!$back->subscribe('chat:gone', position => $position)->{recovered}, 'not recovered');
    publish_all($client, 'chat:gone', 3);
    is($_->event->{data}, 3, 'and it goes on') for $client, $back;
};

check 'another node has what this one has, though nobody subscribed there' => sub {
    my $client   = $a->client;
    my $position = $client->subscribe('chat:roam')->{position};
    publish_all($client, 'chat:roam', 1 .. 5);
    is_deeply(history_of($b->client, 'chat:roam', 5), [ 1 .. 5 ], 'it is there');
    my $back       = $b->client;
    my $subscribed = $back->subscribe('chat:roam', position => $position);
    ok($subscribed->{recovered}, 'recovered');
    is_deeply(next_events($back, 5), [ 1 .. 5 ], 'all of it');
    publish_all($client, 'chat:roam', 6);
    is($back->event->{data}, 6, 'and then live ones');
};

check 'weftd killed with peers: clients miss nothing, and no gap is told' => sub {
    my $stays     = $a->client;
    my $elsewhere = $b->client;
    my $away      = $a->client;
    $_->subscribe('chat:killed') for $stays, $elsewhere, $away;
    publish_all($stays, 'chat:killed', 1 .. 3);
    is_deeply(next_events($_, 3), [ 1 .. 3 ], 'delivered') for $stays, $elsewhere;
    my $position = ($away->event, $away->event)[0]{position};
    $away->leave;
    is_deeply(history_of($c->client, 'chat:killed', 3), [ 1 .. 3 ], 'replicated');
    $a->weftd->crash;
    publish_all($elsewhere, 'chat:killed', 4, 5);
    is_deeply(next_events($elsewhere, 2), [ 4, 5 ], 'life goes on elsewhere');
    $a->weftd->start;
    ok(served($stays), 'served again');
    is_deeply(next_events($stays, 2), [ 4, 5 ], 'what it missed comes, without being asked for');
    my $back       = $a->client;
    my $subscribed = $back->subscribe('chat:killed', position => $position);
    ok($subscribed->{recovered}, 'a client that was away recovers at the node that was killed');
    publish_all($elsewhere, 'chat:killed', 6);
    is($stays->event->{data}, 6, 'live ones come');
    is_deeply([ map { $_->{type} } grep { $_->{type} eq 'gap' } map { $_->drain } $stays, $elsewhere, $back ], [], 'no gap');
};

check 'a node that stood still for longer than its peers wait catches up, and its clients with it' => sub {
    my $client = $c->client;
    $client->subscribe('chat:still');
    my $other = $a->client;
    publish_all($other, 'chat:still', 1);
    is($client->event->{data}, 1, 'all is well');
    my $lost = () = $a->weftd->log_text =~ /peer_down peer=c/g;
    $c->weftd->signal('STOP');
    publish_all($other, 'chat:still', 2 .. 5);
    ok(wait_for { (() = $a->weftd->log_text =~ /peer_down peer=c/g) > $lost }, 'its peers give it up');
    publish_all($other, 'chat:still', 6);
    $c->weftd->signal('CONT');
    is_deeply(next_events($client, 5), [ 2 .. 6 ], 'what it missed comes');
    is_deeply([ grep { $_->{type} eq 'gap' } $client->drain ], [], 'no gap');
};

check 'all workers of a node killed: their clients resume' => sub {
    my $client   = $b->client;
    my $position = $client->subscribe('chat:workers')->{position};
    publish_all($client, 'chat:workers', 1 .. 3);
    kill KILL => $b->nginx->workers;
    $t->expect_in_log(qr/exited on signal 9/);
    my $other = $a->client;
    publish_all($other, 'chat:workers', 4);
    my $back;
    wait_for { $back = eval { $b->client } };
    $b->wait_linked;
    is_deeply(history_of($back, 'chat:workers', 4), [ 1 .. 4 ], 'all is there');
    my $subscribed = $back->subscribe('chat:workers', position => $position);
    ok($subscribed->{recovered}, 'recovered');
    is_deeply(next_events($back, 4), [ 1 .. 4 ], 'all of it');
};

check 'what comes right behind the handshake may overtake what the location subscribes to' => sub {
    my %workers = map { $_ => 1 } $alone->nginx->workers;
    my $speaker = $alone->client;
    my $n       = 0;
    for my $stays (0, 1) {
        for my $said (qw(subscribe resume unsubscribe)) {
            # Many times, since the location's is answered soon.
            for (1 .. 20) {
                my $channel = 'newest:' . ++$n;
                my $before  = $speaker->must('publish', channel => $channel, data => 'missed')->{position};
                $speaker->must('publish', channel => $channel, data => 'newest');
                my @others = $stays ? map { my $one = $alone->client; $one->subscribe($channel); $one } 1 .. 2 : ();
                my $type   = $said eq 'unsubscribe' ? $said : 'subscribe';
                my %payload = (channel => $channel, $said eq 'resume' ? (position => $before) : ());
                my $client = Weft::Client->dial(
                    port  => $alone->port,
                    first => "GET /entered?channel=$channel HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer "
                        . $t->ticket . "\r\n\r\n"
                        . Weft::Client::frame_bytes(text => Weft::Client->encode({ type => $type, id => 'c', payload => \%payload })));
                $client->_read_until(sub { $client->{in} =~ s/^HTTP.*?\r\n\r\n//s }, 'an answer');
                my @heard;
                while (my $message = eval { $client->next_message } || die "$said: @heard, and then $@") {
                    push @heard, $message->{type} . ($message->{id} ? ' by itself' : '') . ($message->{payload}{data} ? " $message->{payload}{data}" : '');
                    last if ($message->{id} // '') eq 'c' && ($said eq 'unsubscribe' || $message->{type} eq 'error');
                    last if ($message->{payload}{data} // '') eq 'newest' && grep { $_ eq 'subscribed by itself' } @heard;
                }
                my $heard = join ', ', @heard;
                my $want  = $said eq 'unsubscribe' ? qr/unsubscribed by itself\z/ : qr/subscribed by itself, (?:event missed, )?event newest\z/;
                like($heard, $want, "$said: it is answered") if $heard !~ $want || $_ == 20;
                is($client->call('ping')->{type}, 'pong', 'and goes on') if $_ == 20;
                $_->hang_up for $client, @others;
            }
        }
    }
    is_deeply([ grep { !$workers{$_} } $alone->nginx->workers ], [], 'the workers are the same');
};

$t->finish;
done_testing;
