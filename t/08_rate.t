# The message rate of a connection.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node(
    'a',
    location => "weft_ticket key=$key; weft_rate 5r/s burst=10;",
    server   => "        location /slow { weft_websocket; weft_ticket key=$key; weft_rate 1r/m; }\n"
        . "        location /default { weft_websocket; weft_ticket key=$key; }\n"
        . "        location /off { weft_websocket; weft_ticket key=$key; weft_rate off; }\n",
);
my $ping = Weft::Client::frame_bytes(text => '{"type":"ping"}');

sub at { my ($path, %more) = @_; return $node->client(%more, with => { path => $path }) }

# Sends n commands at once and counts the answers: ($pongs, \@errors).
sub burst {
    my ($client, $n) = @_;
    $client->raw_send($ping x $n);
    my ($pongs, @errors) = 0;
    for (1 .. $n) {
        my $answer = $client->next_message(quiet => 1) // last;
        if ($answer->{type} eq 'pong') { $pongs++ }
        else                           { push @errors, $answer->{payload} }
    }
    return ($pongs, \@errors);
}

check 'a burst within the limit is served' => sub {
    my ($pongs, $errors) = burst(at('/ws'), 10);
    is($pongs, 10, 'all ten');
    is(scalar @$errors, 0, 'no error');
};

check 'what exceeds the burst is answered with 4004 and when to come back' => sub {
    my $began = time;
    my ($pongs, $errors) = burst(at('/ws'), 20);
    my $earned = 5 * (time - $began) + 1;    # what the clock may have refilled meanwhile
    cmp_ok($pongs, '>=', 10, 'the burst is served');
    cmp_ok($pongs, '<=', 11 + $earned, 'and no more than what the rate adds');
    cmp_ok(scalar @$errors, '>', 0, 'the excess is refused') or return;
    is($errors->[0]{code},   4004,           'with 4004');
    is($errors->[0]{reason}, 'rate_limited', 'rate_limited');
    cmp_ok($errors->[0]{retry_after_ms}, '>', 0, 'saying when to try again');
    cmp_ok($errors->[0]{retry_after_ms}, '<=', 250, 'which is at most the time of one message');
};

check 'an error names the command that was refused' => sub {
    my $client = at('/slow');
    $client->must('ping');
    $client->send_json({ type => 'ping', id => 'second' });
    my $answer = $client->next_message;
    is($answer->{payload}{code}, 4004, 'refused');
    is($answer->{id}, 'second', 'by its id');
};

check 'an excess command is not executed' => sub {
    my $watcher = at('/off');
    $watcher->subscribe('chat:excess');
    my $client = at('/slow');
    $client->must('ping');
    is($client->call('publish', channel => 'chat:excess', data => 'excess')->{payload}{code}, 4004, 'refused');
    $node->publish('chat:excess', '"marker"');
    is($watcher->event->{data}, 'marker', 'nothing arrived before what was published afterwards');
};

check 'after the time that was named a message is served again' => sub {
    my $client = at('/ws');
    my (undef, $errors) = burst($client, 20);
    ok(wait_for {
            select undef, undef, undef, $errors->[-1]{retry_after_ms} / 1000;
            my $answer = $client->call('ping');
            push @$errors, $answer->{payload} if $answer->{type} eq 'error';
            $answer->{type} eq 'pong';
        }, 'served');
};

check 'each connection has a bucket of its own' => sub {
    my ($one, $two) = map { at('/slow') } 1 .. 2;
    is($_->call('ping')->{type}, 'pong', 'the first message of each') for $one, $two;
};

check 'a client that keeps on far beyond its rate is closed' => sub {
    my $client = at('/slow');
    $client->raw_send($ping x 20_000);
    my $close = $client->read_close;
    is($close->{code}, 4004, 'with 4004');
    my @errors = grep { $_->{type} eq 'error' } @{ $close->{messages} };
    cmp_ok(scalar @errors, '>', 0, 'after it was warned');
};

check 'pings cost an answer, so they count like messages; pongs do not' => sub {
    my $client = at('/slow');
    $client->raw_send(Weft::Client::frame_bytes(pong => 'x') x 50);
    $client->raw_send(Weft::Client::frame_bytes(ping => 'y'));
    my $frame = $client->next_frame;
    is_deeply([ @$frame{qw(opcode payload)} ], [ 10, 'y' ], 'after fifty pongs the bucket is full, a ping is answered');
    is($client->call('ping')->{payload}{code}, 4004, 'and has emptied it');
};

check 'the default is 100 a second with a burst of 200' => sub {
    my ($pongs, $errors) = burst(at('/default'), 200);
    is($pongs, 200, 'two hundred at once are served');
    my $began = time;
    ($pongs, $errors) = burst(at('/default'), 600);
    my $earned = 100 * (time - $began) + 1;
    cmp_ok($pongs, '<=', 201 + $earned, 'of six hundred no more than that and what the rate adds');
};

check 'off means no limit' => sub {
    my ($pongs, $errors) = burst(at('/off'), 5000);
    is($pongs, 5000, 'all five thousand');
};

check 'invalid messages count too' => sub {
    my $client = at('/slow');
    $client->send_text('nonsense');
    is($client->next_message->{payload}{code}, 4006, 'the first is invalid');
    $client->send_text('nonsense');
    is($client->next_message->{payload}{code}, 4004, 'the second too many');
};

$t->finish;
done_testing;
