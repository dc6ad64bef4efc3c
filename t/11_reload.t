# Reload (of connections that are drained; t/95_move.t: that move), quit, stop and crashed workers under connected clients.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use Test::More;
use Time::HiRes qw(time);
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node('a', workers => 2, http => "    weft_drain 2s;\n    weft_reload drain;\n",
    location => "weft_ticket key=$key; weft_rate off;");
my $nginx = $node->nginx;

sub told_to_reconnect {
    my ($close) = @_;
    my ($reconnect) = grep { $_->{type} eq 'reconnect' } @{ $close->{messages} };
    return $reconnect && defined $reconnect->{payload}{after_ms} && ($close->{code} // 0) == 1012;
}

check 'reload: clients are told to reconnect and closed with 1012, within the drain time' => sub {
    my @clients = map { $node->client } 1 .. 40;
    $_->subscribe('chat:reload') for @clients;
    my @old   = $nginx->reload;
    my $began = time;
    is(scalar @old, 2, 'two workers are to go');

    my $new = $node->client;
    $new->subscribe('chat:reload');
    ok(!(grep { $_ == $nginx->worker_of($new) } @old), 'a new client is on a new worker');
    $new->must('publish', channel => 'chat:reload', data => 'new');
    is($new->event->{data}, 'new', 'and is served');

    my @closes = map { $_->read_close } @clients;
    is(scalar(grep { told_to_reconnect($_) } @closes), 40, 'each gets reconnect, then 1012');
    my ($reconnect) = grep { $_->{type} eq 'reconnect' } @{ $closes[0]{messages} };
    like($reconnect->{payload}{reason} // '', qr/./, 'with a reason');
    ok(wait_for { !grep { -d "/proc/$_" } @old }, 'the old workers are gone');
    cmp_ok(time - $began, '<', 2 + 8, 'soon after the drain time');
    is($new->call('ping')->{type}, 'pong', 'the new client never noticed');
};

check 'reload: events published meanwhile reach clients that are not closed yet' => sub {
    my @clients   = map { $node->client } 1 .. 20;
    $_->subscribe('chat:during') for @clients;
    my @old       = $nginx->reload;
    my $publisher = $node->client;
    $publisher->must('publish', channel => 'chat:during', data => 'meanwhile');
    my $bad = 0;
    for my $client (@clients) {
        my $close = $client->read_close;
        # The reconnect frame is the last thing said: whoever got it may have gone.
        my @types = map { $_->{type} } @{ $close->{messages} };
        $bad++ unless $types[-1] && $types[-1] eq 'reconnect' || grep { $_ eq 'event' } @types;
        $bad++ unless ($close->{code} // 0) == 1012;
    }
    is($bad, 0, 'or those were told to reconnect before');
};

check 'reload: a client that never answers the close does not hold the old worker' => sub {
    my @clients = map { $node->client } 1 .. 10;
    my @old     = $nginx->reload;
    # Nothing is read or answered here.
    ok(wait_for { !grep { -d "/proc/$_" } @old }, 'the old workers end');
};

# What weft_drain promises (docs/directives.md): served on for a quarter of the time, at most 3 s, once it is told to
# reconnect. Who is not back by then is closed, and may miss what is published until it is; that is this machine's doing
# only where so much time was over, so a client counts as late only then. (Half of it: the worker's clock is that of its
# last look at it, which on a busy machine is a while ago.)
check 'reload under publishers: a client that is back before it lets go loses nothing, in order' => sub {
    my $grace = 3;
    my $busy = $t->node('busy', workers => 2, http => "    weft_drain 12s;\n    weft_reload drain;\n", location => "weft_ticket key=$key; weft_rate off;");
    my @subscribers = map { { now => $busy->client, got => [], seen => {}, told => 0 } } 1 .. 12;
    $_->{now}->subscribe('chat:busy') for @subscribers;
    $_->{looked} = time for @subscribers;
    my @old = $busy->nginx->reload;

    my $take = sub {
        my ($one, @messages) = @_;
        for my $event (map { $_->{payload} } grep { $_->{type} eq 'event' } @messages) {
            push @{ $one->{got} }, $event->{data} unless $one->{seen}{ $event->{message_id} }++;
        }
        $one->{told} += grep { $_->{type} eq 'reconnect' } @messages;
        return;
    };
    my (@in_time, @late);
    # The server closed first: that long after the last look at which it had told nothing.
    my $lose = sub {
        my ($one, $close) = @_;
        $one->{after} = time - $one->{looked};
        $one->{code}  = $close->{code} // 0;
        $one->{done}  = 1;
        push @late, $one;
        return;
    };
    my $sent  = 0;
    my $until = time + 12 + 2 * $Weft::Client::TIMEOUT;
    while (time < $until && (grep { -d "/proc/$_" } @old or @in_time + @late < @subscribers)) {
        my $answer = $busy->publish('chat:busy', ++$sent);
        die "publication $sent was answered $answer->{status}\n" if $answer->{status} != 202;
        for my $one (@subscribers) {
            next if $one->{done} && $one->{code};
            my $looks    = time;
            my @messages = eval { $one->{now}->drain };
            if ($@) {
                die "a client that is back was closed: $@" if $one->{done};
                my $close = $one->{now}->read_close;
                $take->($one, @{ $close->{messages} });
                $lose->($one, $close);
                next;
            }
            $take->($one, @messages);
            $one->{looked} = $looks if !$one->{told};
            next if !$one->{told} || $one->{done};
            my $new = $busy->client;
            $new->subscribe('chat:busy');
            # What the new worker's subscription came too late for may still be on its way to the old worker; the answer
            # of weftd comes behind it.
            eval { $one->{now}->call('rpc', method => 'weft.time') };
            my $close = eval { $one->{now}->leave } // {};
            $take->($one, @{ $close->{messages} // [] });
            if (($close->{code} // 0) != 1000) { $lose->($one, $close); next }
            $one->{now}  = $new;
            $one->{done} = 1;
            push @in_time, $one;
        }
    }
    ok(!(grep { -d "/proc/$_" } @old), 'the old workers are gone');
    is(@in_time + @late, 12, 'all have moved, or been closed');
    is(scalar(grep { $_->{told} == 1 } @subscribers), 12, 'each was told once');
    cmp_ok(scalar @in_time, '>', 0, @in_time . " clients moved in time, while $sent publications went out");
    for my $one (@in_time) {
        $one->{now}->call('rpc', method => 'weft.time');
        $take->($one, $one->{now}->drain);
    }
    my @incomplete = grep { join(' ', @{ $_->{got} }) ne join(' ', 1 .. $sent) } @in_time;
    is(scalar @incomplete, 0, 'each of them has every publication, in order')
        or diag("1 to $sent, but got: @{ $incomplete[0]{got} }");
    for my $one (@late) {
        my $count = @{ $one->{got} };
        cmp_ok($one->{after}, '>=', $grace / 2, sprintf 'one was too late, after %.1f s', $one->{after});
        is($one->{code}, 1012, 'and closed with 1012');
        is(join(' ', @{ $one->{got} }), join(' ', 1 .. $count), 'without a hole up to there');
    }
};

check 'reload several times in a row' => sub {
    my @clients = map { $node->client } 1 .. 10;
    my @old;
    push @old, $nginx->reload for 1 .. 4;
    my @closes = map { $_->read_close } @clients;
    is(scalar(grep { told_to_reconnect($_) } @closes), 10, 'every client of the first generation is told');
    ok(wait_for { !grep { -d "/proc/$_" } @old }, 'all old workers are gone');
    $node->wait_linked;
    my ($one, $two) = $node->client_per_worker;
    $two->subscribe('chat:reloaded');
    $one->must('publish', channel => 'chat:reloaded', data => 1);
    is($two->event->{data}, 1, 'the last generation works');
};

check 'reload with a wrong configuration changes nothing' => sub {
    my $client  = $node->client;
    my @before  = sort $nginx->workers;
    $t->expect_in_log(qr/weft_rate.*nginx\.conf|nginx\.conf.*weft_rate|"weft_rate"/);
    $nginx->write_configuration(location => "weft_ticket key=$key; weft_rate wrong;");
    $nginx->signal('HUP');
    ok(wait_for { $nginx->error_log =~ /weft_rate.*nginx\.conf:\d+|\[emerg\].*nginx\.conf:\d+/ }, 'the error is logged');
    is_deeply([ sort $nginx->workers ], \@before, 'the same workers');
    is($client->call('ping')->{type}, 'pong', 'still serve');
    $nginx->write_configuration;
};

check 'reload changes the rules' => sub {
    my $client = $node->client;
    is($client->call('subscribe', channel => 'news:x')->{payload}{code}, 4007, 'not there before');
    $nginx->reload(rules => "    weft_channel news:* { publish on; }\n");
    $node->wait_linked;
    is($node->client->subscribe('news:x')->{channel}, 'news:x', 'there afterwards');
    is($node->client->call('subscribe', channel => 'chat:x')->{payload}{code}, 4007, 'and the other is gone');
    $nginx->reload;
    $node->wait_linked;
};

check 'reload from two workers to one, and back' => sub {
    my $other = $t->node('fewer', workers => 2, reuseport => 0, http => "    weft_drain 1s;\n    weft_reload drain;\n");
    for my $workers (1, 2) {
        $other->nginx->reload(workers => $workers);
        ok(wait_for { $other->nginx->workers == $workers }, "$workers serve");
        $other->wait_linked;
        my $client = $other->client;
        $client->subscribe('chat:fewer');
        $client->must('publish', channel => 'chat:fewer', data => $workers);
        is($client->event->{data}, $workers, 'and work');
    }
};

check 'a killed worker costs its clients the connection and nobody else anything' => sub {
    my ($one, $two) = $node->client_per_worker;
    $_->subscribe('chat:killed') for $one, $two;
    my $victim = $nginx->worker_of($one);
    $t->expect_in_log(qr/worker process $victim exited on signal 9/);
    kill 'KILL', $victim;
    ok(wait_for { !$one->is_open }, 'its client sees the end');
    ok(wait_for { $nginx->workers == 2 && !grep { $_ == $victim } $nginx->workers }, 'another worker comes');
    $node->wait_linked;
    my $again = $node->client;
    $again->subscribe('chat:killed');
    $again->must('publish', channel => 'chat:killed', data => 'on');
    is($_->event->{data}, 'on', 'the others go on') for $again, $two;
};

check 'quit: clients are told, and nginx ends with status 0' => sub {
    my $other   = $t->nginx('quit', sidecar => $node->weftd->worker_address, workers => 2, http => "    weft_drain 1s;\n");
    my @clients = map { Weft::Client->join(port => $other->port, ticket => $t->ticket) } 1 .. 20;
    $other->signal('QUIT');
    my @closes = map { $_->read_close } @clients;
    is(scalar(grep { told_to_reconnect($_) } @closes), 20, 'each gets reconnect, then 1012');
    is($other->process->wait_end, 0, 'status 0');
};

check 'quit spreads the closes over the drain time' => sub {
    my $other   = $t->nginx('spread', sidecar => $node->weftd->worker_address, http => "    weft_drain 3s;\n    weft_reload drain;\n");
    my @clients = map { Weft::Client->join(port => $other->port, ticket => $t->ticket) } 1 .. 30;
    my $began   = time;
    $other->signal('QUIT');
    my @when;
    while (@clients) {
        my $rest = IO::Select->new(map { $_->socket } @clients);
        my @ready = $rest->can_read(20) or last;
        my %ready = map { $_ => 1 } @ready;
        for my $client (grep { $ready{ $_->socket } } @clients) {
            $client->read_close;
            push @when, time - $began;
        }
        @clients = grep { !$ready{ $_->socket } } @clients;
    }
    is(scalar @when, 30, 'all are closed');
    cmp_ok($when[-1] - $when[0], '>', 1, 'not all at once');
    is($other->process->wait_end, 0, 'status 0');
};

check 'stop: connections end at once' => sub {
    my $other   = $t->nginx('stop', sidecar => $node->weftd->worker_address);
    my @clients = map { Weft::Client->join(port => $other->port, ticket => $t->ticket) } 1 .. 20;
    is($other->stop, 0, 'status 0');
    my $ended = grep { my $client = $_; wait_for { !$client->is_open } } @clients;
    is($ended, 20, 'every client sees the end');
};

check 'quit without weftd ends too' => sub {
    my $other  = $t->nginx('alone', http => "    weft_drain 1s;\n");
    my $client = Weft::Client->join(port => $other->port, ticket => $t->ticket);
    $other->signal('QUIT');
    is($client->read_close->{code}, 1012, 'its client is told');
    is($other->process->wait_end, 0, 'status 0');
};

check 'weftd killed before the quit does not hold it' => sub {
    my $gone   = $t->node('gone', http => "    weft_drain 1s;\n");
    my $client = $gone->client;
    $gone->weftd->crash;
    $gone->nginx->signal('QUIT');
    is($client->read_close->{code}, 1012, 'its client is told');
    is($gone->nginx->process->wait_end, 0, 'status 0');
};

$t->finish;
done_testing;
