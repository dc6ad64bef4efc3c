# A weftd that doesn't keep up: workers leave what clients send in their sockets, and lose nothing; what comes by POST waits for
# its answer, as much as the link has room for, and the rest is answered 503.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
# Publishers here answer pings when they are read from, which takes a slow machine longer than the default heartbeat.
my $location = "weft_ticket key=$key; weft_rate off; weft_heartbeat 10m; weft_message_size 1m; weft_send_queue 100m;";

# A child that publishes 1 to $count of $size bytes as fast as they are taken; the numbers it got no answer to are none of
# its business.
sub flood {
    my ($client, $channel, $count, $size) = @_;
    my $child = fork // die "fork: $!\n";
    return $child if $child;
    $client->socket->blocking(1);
    my $filler = 'f' x $size;
    for my $n (1 .. $count) {
        $client->raw_send(Weft::Client::frame_bytes(
            text => qq({"type":"publish","payload":{"channel":"$channel","data":[$n,"$filler"]}})));
    }
    require POSIX;
    POSIX::_exit(0);
}

check 'publishers are paused while weftd is stopped, and everything arrives once it goes on' => sub {
    my $node       = $t->node('a', location => $location);
    my $subscriber = $node->client;
    $subscriber->subscribe('chat:flood');
    my (@floods, @children);
    my ($pauses, $rounds) = (0, 0);
    # weftd is given up for dead after three seconds of silence; so it is stopped for less, again and again. A machine that
    # is busy may not get as far as the pause in a second and a half: such a round doesn't count.
    while ($pauses < 3 && $rounds++ < 10) {
        push @floods, $node->client;
        $node->weftd->signal('STOP');
        push @children, flood($floods[-1], 'chat:flood', 600, 50_000);
        $pauses++ if wait_for { $node->status->{connections}{paused} } 1.5;
        $node->weftd->signal('CONT');
        my $wrong = 0;
        for my $n (1 .. 600) {
            my $text = $subscriber->next_text // '';
            $wrong++ unless $text =~ /^\{"type":"event"/ && index($text, qq("data":[$n,"f)) > 0;
        }
        is($wrong, 0, "round $rounds: all 600 arrive, in order");
    }
    waitpid $_, 0 for @children;
    is($pauses, 3, 'in three rounds the publisher was not read for a while');
    my $refused = grep { $_->{type} eq 'error' } map { $_->drain } @floods;
    is($refused, 0, 'none was refused');
    is($node->status->{connections}{paused}, 0, 'nobody is paused any more');
};

check 'a paused publisher is answered 4017 when weftd is lost, and others never wait' => sub {
    my $node      = $t->node('b', location => $location);
    my $publisher = $node->client;
    my $other     = $node->client;
    my ($worker)  = $node->nginx->workers;
    my $before    = $node->nginx->forget_peak($worker);
    $node->weftd->signal('STOP');
    my $child = flood($publisher, 'chat:lost', 3000, 50_000);
    ok(wait_for { $node->status->{connections}{paused} }, 'the publisher is paused');
    # 8 MB for the pause, and 64 batches of 256 kB that ZeroMQ has taken.
    grew_less($node->nginx, $worker, $before, 50 << 20, 3000 * 50_000, 'of 150 MB little waits for weftd');
    my $answers = 0;
    for (1 .. 100_000) {
        my $text = $publisher->next_text // last;
        $answers++ if $text =~ /"code":4017/;
        last if $answers == 500;
    }
    is($answers, 500, 'then it is told that the broker is unavailable');
    is($other->call('ping')->{type}, 'pong', 'others are answered');
    kill 'KILL', $child;
    waitpid $child, 0;
    $node->weftd->signal('CONT');
    $node->wait_linked;
    $other->subscribe('chat:after');
    ok($node->publish('chat:after', '1')->{status} == 202, 'and all is well again');
    is($other->event->{data}, 1, 'in every direction');
};

# ---- by POST ---------------------------------------------------------------------------------------------------------

my $back = $t->node(
    'c',
    location => "weft_ticket key=$key; weft_rate off; weft_heartbeat 10m; weft_send_queue 200m;",
    rules    => "$Weft::Test::Nginx::RULES    weft_channel kept:* { history 1000 10m; }\n",
    server   => "        client_max_body_size 1m;\n        client_body_timeout 10m;\n        location /api/ { weft_api; }\n",
);

# Publications 1 to $count, by both ways in, each on a connection of its own and but for its last byte: [client, that byte].
sub almost_post {
    my ($node, $channel, $count, $size) = @_;
    my $filler = 'f' x $size;
    return map {
        my $data = qq([$_,"$filler"]);
        my ($path, $body) = $_ % 2 ? ("/publish/$channel", $data)
            : ('/api/publish', qq({"channel":"$channel","message_id":"id-$_","data":$data}));
        my $client = Weft::Client->dial(port => $node->port);
        my $length = length $body;
        my $last   = chop $body;
        $client->raw_send("POST $path HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
                . "Idempotency-Key: id-$_\r\nContent-Length: $length\r\n\r\n$body");
        [ $client, $last ];
    } 1 .. $count;
}

# 202, or 503 if that is as docs/directives.md describes it; else all of the answer.
sub answer_to_post {
    my ($client) = @_;
    my $all = $client->read_all;
    my ($head, $body) = split /\r\n\r\n/, $all, 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+) };
    return 202 if ($status // 0) == 202;
    return 503 if ($status // 0) == 503 && $head =~ /\r\nRetry-After: [1-9]\d*(?:\r|\z)/ && $body =~ /"code":4017\b/;
    return "'$all'";
}

sub links_lost { my ($node) = @_; return scalar(() = $node->nginx->error_log =~ /link to weftd is down/g) }

check 'POSTs wait while weftd is stopped; what finds no room is answered 503 at once, and nothing of it is published' => sub {
    my ($worker)   = $back->nginx->workers;
    my $subscriber = $back->client;
    my ($tries, $full, $held, $grown) = (0);
    # weftd is given up for dead after three seconds of silence. A machine that is too slow to fill the link in them tries
    # again, with no more in the end than it takes to fill it; for the bound on memory more must come.
    until ($full || $tries++ == 6) {
        my ($count, $size) = ($tries < 4 ? 1000 : 400, 200_000);
        my $channel = "chat:posts-$tries";
        $subscriber->subscribe($channel);
        my $before = $back->nginx->memory_of($worker);
        my $lost   = links_lost($back);
        my @posts  = almost_post($back, $channel, $count, $size);
        $back->weftd->signal('STOP');
        $_->[0]->raw_send($_->[1]) for @posts;
        my $link;
        # All are with the worker, and held or answered; or the link is lost, and all are answered.
        wait_for { $link = $back->status->{link}; $link->{pending} + (grep { !$_->[0]->is_open } @posts) >= $count };
        $grown = $back->nginx->memory_of($worker) - $before;
        $held  = grep { $_->[0]->is_open } @posts;
        $back->weftd->signal('CONT');

        my @answers = map { answer_to_post($_->[0]) } @posts;
        my %times;
        $times{$_}++ for @answers;
        note("try $tries: $held were held; " . join ', ', map { "$_: $times{$_}" } sort keys %times);
        is(($times{202} // 0) + ($times{503} // 0), $count, 'each is answered 202, or 503 with Retry-After and 4017');
        cmp_ok($grown, '<', (120 << 20) + $Weft::Test::SANITIZER_MEMORY, sprintf 'while the worker grew by %.0f MB', $grown / (1 << 20));
        if (links_lost($back) > $lost) { $back->wait_linked; $subscriber = $back->client; next }

        $full = $times{503};
        is($times{202}, $held, 'those are accepted that were held') or next;
        my @accepted = grep { $answers[ $_ - 1 ] == 202 } 1 .. $count;
        is($back->publish($channel, 0)->{status}, 202, 'a last one is');
        my @got;
        while (1) {
            my $text = $subscriber->next_text;
            last if $text =~ /"data":0[,}]/;
            push @got, $text =~ /"data":\[(\d+),"f/ ? $1 : $text;
        }
        is(join(' ', sort { $a <=> $b } @got), join(' ', @accepted), 'those who were accepted are delivered, each once, and no others');
    }
    ok($full, 'some found no room');
    ok(wait_for { $back->status->{link}{pending} == 0 }, 'nothing waits any more');
};

check 'POSTs that wait for a weftd that is lost are answered 503, and repeated they are delivered once' => sub {
    my $subscriber = $back->client;
    $subscriber->subscribe('kept:posts');
    my @posts = almost_post($back, 'kept:posts', 40, 10);
    $back->weftd->signal('STOP');
    $_->[0]->raw_send($_->[1]) for @posts;
    my @answers = map { answer_to_post($_->[0]) } @posts;
    is("@answers", join(' ', (503) x 40), 'all are answered 503');
    $back->weftd->signal('CONT');
    $back->wait_linked;
    my @again = almost_post($back, 'kept:posts', 40, 10);
    $_->[0]->raw_send($_->[1]) for @again;
    is(join(' ', map { answer_to_post($_->[0]) } @again), join(' ', (202) x 40), 'repeated they are accepted');
    is($back->publish('kept:posts', 0)->{status}, 202, 'and so is a last one');
    my @got;
    until (@got && $got[-1] eq '0') {
        my $data = $subscriber->event->{data};
        push @got, ref $data ? $data->[0] : $data;
    }
    is(join(' ', sort { $a <=> $b } @got), join(' ', 0 .. 40), 'the subscriber got each once');
};

$t->finish;
done_testing;
