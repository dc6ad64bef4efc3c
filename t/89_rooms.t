# rooms.v1.json: rooms and chat messages, for clients that know no other words; over the same channels as weft.v1.json.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node('a', location => "weft_ticket key=$key; weft_rate off;",
    rules  => "weft_channel room:* { publish on; history 100 1m; presence on debounce=1s; }\n",
    server => "        location /rooms { weft_websocket; weft_protocol rooms; weft_ticket key=$key; weft_auth_timeout 10s; }\n");

# Clients that ask for the vocabulary, and one that gets it without asking.
sub rooms { my ($user) = @_; return $node->client(sub => $user, with => { protocols => 'rooms.v1.json' }) }
sub say_to { my ($client, $type, $payload, $metadata) = @_;
    $client->send_json({ type => $type, payload => $payload, $metadata ? (metadata => $metadata) : () });
}
sub enter { my ($client, $room) = @_;
    say_to($client, join_room => { room_id => $room });
    return $client->expect('room_joined')->{payload};
}

# That bob is said to be so.
sub told { my ($client, $status) = @_;
    while (1) {
        my $said = $client->expect('presence_update')->{payload};
        return 1 if $said->{user_id} eq 'bob' && $said->{status} eq $status;
    }
}

# From here on weftd knows its worker's members.
{
    my $one = $node->client;
    $one->subscribe('room:meet');
    ok(wait_for { $one->must('presence', channel => 'room:meet')->{count} == 1 }, 'members are known');
}

check 'two clients chat in a room' => sub {
    my ($ann, $bob) = (rooms('ann'), rooms('bob'));
    is($ann->greeting->{user_id}, 'ann', 'greeted');
    is(enter($_, 'lobby')->{room_id}, 'lobby', 'joined') for $ann, $bob;
    say_to($ann, message => { room_id => 'lobby', message => 'hello' }, { message_id => 'm1', correlation_id => 'c1' });
    my $sent = $ann->expect('message_sent');
    is($sent->{metadata}{correlation_id}, 'c1', 'sent, it is told');
    is($sent->{payload}{message_id}, 'm1', 'with the message\'s id');
    for ($ann, $bob) {
        my $got = $_->expect('chat_message');
        is($got->{payload}{message}, 'hello', 'it comes');
        is($got->{payload}{sender_id}, 'ann', 'from ann');
        is($got->{payload}{room_id}, 'lobby', 'in the room');
        is($got->{payload}{message_id}, 'm1', 'with its id');
        is($got->{metadata}{message_id}, 'm1', 'in both places');
    }
    say_to($bob, typing_start => { room_id => 'lobby' });
    is($ann->expect('typing_start')->{payload}{user_id}, 'bob', 'bob types');
    say_to($bob, typing_stop => { room_id => 'lobby' });
    is($ann->expect('typing_stop')->{payload}{room_id}, 'lobby', 'and stops');
    say_to($bob, read_receipt => { room_id => 'lobby', message_id => 'm1' });
    is($ann->expect('read_receipt')->{payload}{message_id}, 'm1', 'and has read it');
    say_to($bob, presence_update => { room_id => 'lobby', status => 'away' });
    ok(told($ann, 'online'), 'who had come');
    ok(told($ann, 'away'), 'and goes away');
    say_to($ann, presence_query => { room_id => 'lobby' });
    my $members = $ann->expect('room_members')->{payload};
    is($members->{count}, 2, 'two are there');
    is_deeply([ sort map { $_->{user_id} } @{ $members->{members} } ], [qw(ann bob)], 'by name');
    say_to($bob, leave_room => { room_id => 'lobby' });
    is($bob->expect('room_left')->{payload}{room_id}, 'lobby', 'bob leaves');
    ok(told($ann, 'offline'), 'and is gone');
    say_to($ann, ping => {});
    is($ann->expect('pong')->{type}, 'pong', 'ping');
};

check 'flat messages are understood' => sub {
    my $ann = rooms('ann');
    $ann->send_json({ type => 'join_room', roomId => 'flat', userId => 'ann' });
    is($ann->expect('room_joined')->{payload}{room_id}, 'flat', 'joined');
    $ann->send_json({ type => 'message', roomId => 'flat', text => 'hi', userId => 'somebody else' });
    my $got = $ann->expect('chat_message')->{payload};
    is($got->{message}, 'hi', 'said');
    is($got->{sender_id}, 'ann', 'by whom the ticket says');
    is($ann->expect('message_sent')->{payload}{message_id}, $got->{message_id}, 'and told');
};

check 'a client of rooms and one of weft.v1.json talk to each other' => sub {
    my ($ann, $bob) = (rooms('ann'), $node->client(sub => 'bob'));
    enter($ann, 'both');
    $bob->subscribe('room:both');
    say_to($ann, message => { room_id => 'both', message => { text => 'hello' } });
    is_deeply($bob->event->{data}, { text => 'hello' }, 'to weft.v1.json');
    $bob->must('publish', channel => 'room:both', data => 'well');
    $ann->expect('chat_message');
    my $got = $ann->expect('chat_message')->{payload};
    is($got->{message}, 'well', 'and back');
    is($got->{sender_id}, 'bob', 'from bob');
    my $again = rooms('ann');
    say_to($again, join_room => { room_id => 'both', position => $got->{position} });
    ok($again->expect('room_joined')->{payload}{recovered}, 'positions resume here, too');
};

check 'weft_protocol gives it to those who ask for nothing, and auth comes first where it must' => sub {
    my $ann = Weft::Client->open(port => $node->port, path => '/rooms');
    unlike($ann->answer, qr/^Sec-WebSocket-Protocol/mi, 'nothing is agreed');
    say_to($ann, auth => { token => $t->ticket(sub => 'ann') });
    my $answer = $ann->next_message;
    is($answer->{type}, 'auth_response', 'answered');
    ok($answer->{payload}{success}, 'let in');
    is(enter($ann, 'lobby')->{room_id}, 'lobby', 'joined');
    my $bob = Weft::Client->join(port => $node->port, path => '/rooms', ticket => $t->ticket(sub => 'bob'), protocols => 'weft.v1.json');
    is($bob->greeting->{user}, 'bob', 'who asks for another gets that');
};

check 'what is wrong is told, with the rules of every client' => sub {
    my $ann = rooms('ann');
    for (
        [ { type => 'dance' } => 4006, qr/unknown type/ ],
        [ { type => 'join_room', payload => {} } => 4006, qr/"room_id" is missing/ ],
        [ { type => 'join_room', payload => { room_id => 'a:b' } } => 4007, qr/no weft_channel rule/ ],
        [ { type => 'leave_room', payload => { room_id => 'never' } } => 4011, qr/isn't in that channel/ ],
    ) {
        $ann->send_json({ %{ $_->[0] }, metadata => { correlation_id => 'w' } });
        my $error = $ann->expect('error');
        is($error->{payload}{code}, $_->[1], "it is $_->[1]") or diag(explain($error));
        like($error->{payload}{message}, $_->[2], 'which says why');
        is($error->{metadata}{correlation_id}, 'w', 'of which command');
    }
};

$t->finish;
done_testing;
